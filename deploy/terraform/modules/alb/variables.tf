variable "name" {
  description = "Name of the load balancer, and prefix of its parts; at most 28 characters."
  type        = string
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,27}$", var.name))
    error_message = "2 to 28 of a-z, 0-9 and -, beginning with a letter."
  }
}

variable "vpc_id" {
  description = "Network."
  type        = string
}

variable "vpc_cidr" {
  description = "Addresses of the network."
  type        = string
}

variable "subnet_ids" {
  description = "Public subnets, in two zones or more."
  type        = list(string)
  validation {
    condition     = length(var.subnet_ids) >= 2
    error_message = "Two or more."
  }
}

variable "allowed_cidrs" {
  description = "Networks that may reach the product. Where nobody has to sign in, only those of people who may do everything."
  type        = list(string)
  validation {
    condition     = length(var.allowed_cidrs) > 0 && alltrue([for cidr in var.allowed_cidrs : can(cidrhost(cidr, 0))])
    error_message = "One or more blocks, such as 198.51.100.0/24."
  }
}

variable "certificate_arn" {
  description = "Certificate of the product's address."
  type        = string
}

variable "waf" {
  description = "Whether a web application firewall with AWS's own rules stands before it."
  type        = bool
  default     = false
}

variable "log_retention_days" {
  description = "Days that access logs are kept, as CloudWatch knows them."
  type        = number
  default     = 30
  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731], var.log_retention_days)
    error_message = "1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545 or 731."
  }
}

variable "kms_key_arn" {
  description = "Key that encrypts the firewall's log. Null: the one that AWS manages."
  type        = string
  default     = null
}

variable "deletion_protection" {
  description = "Whether the load balancer refuses to be deleted, and the logs with it."
  type        = bool
  default     = true
}

variable "tags" {
  description = "Tags of everything in this module."
  type        = map(string)
  default     = {}
}

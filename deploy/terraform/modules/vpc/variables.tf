variable "name" {
  description = "Name of the network, and prefix of its parts."
  type        = string
}

variable "cidr" {
  description = "Addresses of the network."
  type        = string
  default     = "10.40.0.0/16"
  validation {
    condition     = can(cidrhost(var.cidr, 0)) && tonumber(split("/", var.cidr)[1]) <= 22
    error_message = "A block of /22 or larger, such as 10.40.0.0/16."
  }
}

variable "zones" {
  description = "Availability zones that are used, 2 to 4."
  type        = number
  default     = 2
  validation {
    condition     = var.zones >= 2 && var.zones <= 4
    error_message = "2 to 4 zones: the load balancer needs two."
  }
}

variable "nat_gateways" {
  description = "Ways out of the private subnets: one is cheap, one for each zone survives the loss of a zone."
  type        = number
  default     = 1
  validation {
    condition     = var.nat_gateways >= 1 && var.nat_gateways <= 4
    error_message = "1 to 4 gateways, at most as many as zones."
  }
}

variable "flow_logs" {
  description = "Whether refused connections are logged."
  type        = bool
  default     = false
}

variable "kms_key_arn" {
  description = "Key that encrypts that log. Null: the one that AWS manages."
  type        = string
  default     = null
}

variable "tags" {
  description = "Tags of everything in this module."
  type        = map(string)
  default     = {}
}

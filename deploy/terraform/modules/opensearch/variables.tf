variable "name" {
  description = "Name of the domain."
  type        = string
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,27}$", var.name))
    error_message = "3 to 28 of a-z, 0-9 and -, beginning with a letter."
  }
}

variable "engine_version" {
  description = "Version of OpenSearch."
  type        = string
  default     = "OpenSearch_2.19"
  validation {
    condition     = can(regex("^OpenSearch_[23]\\.[0-9]+$", var.engine_version))
    error_message = "OpenSearch_2.x or OpenSearch_3.x."
  }
}

variable "instance_type" {
  description = "Type of the data nodes."
  type        = string
  default     = "t3.small.search"
}

variable "instance_count" {
  description = "Data nodes: 1, 2, or a multiple of the zones."
  type        = number
  default     = 1
  validation {
    condition     = var.instance_count >= 1
    error_message = "At least one."
  }
}

variable "volume_gib" {
  description = "Disk of each data node, in GiB. A million people take about 1."
  type        = number
  default     = 10
  validation {
    condition     = var.volume_gib >= 10
    error_message = "At least 10."
  }
}

variable "dedicated_masters" {
  description = "Nodes that only lead the cluster: 0, 3 or 5."
  type        = number
  default     = 0
  validation {
    condition     = contains([0, 3, 5], var.dedicated_masters)
    error_message = "0, 3 or 5."
  }
}

variable "dedicated_master_type" {
  description = "Type of these nodes."
  type        = string
  default     = "m7g.medium.search"
}

variable "warm_nodes" {
  description = "UltraWarm nodes: 0, or 2 and more, which need dedicated masters. The product itself needs none."
  type        = number
  default     = 0
  validation {
    condition     = var.warm_nodes == 0 || (var.warm_nodes >= 2 && var.warm_nodes <= 150)
    error_message = "0, or 2 to 150."
  }
}

variable "auto_tune" {
  description = "Whether AWS tunes the domain. Not for t2 and t3 instances."
  type        = bool
  default     = false
}

variable "vpc" {
  description = "Network, its addresses, and subnets of the domain. Null: reachable from the internet, guarded by signatures and roles."
  type = object({
    id         = string
    cidr       = string
    subnet_ids = list(string)
  })
  default = null
}

variable "access_role_arns" {
  description = "Roles that may talk to the domain. Empty: whatever the account's own policies allow."
  type        = list(string)
  default     = []
}

variable "master_role_arn" {
  description = "Role that may do everything inside the domain: the product's task role, or that of those who sign in to Dashboards, which lets in nobody else."
  type        = string
}

variable "dashboards_cognito" {
  description = "Sign-in to Dashboards by Cognito, as the module dashboards makes it. Null: none."
  type = object({
    user_pool_id     = string
    identity_pool_id = string
    role_arn         = string
  })
  default = null
}

variable "log_retention_days" {
  description = "Days that logs are kept."
  type        = number
  default     = 30
}

variable "kms_key_arn" {
  description = "Key that encrypts disks and logs. Null: the ones that AWS manages."
  type        = string
  default     = null
}

variable "tags" {
  description = "Tags of everything in this module."
  type        = map(string)
  default     = {}
}

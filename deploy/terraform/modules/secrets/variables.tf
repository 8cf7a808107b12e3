variable "name" {
  description = "Prefix of the secrets' names."
  type        = string
}

variable "keys" {
  description = "Settings that are secrets, such as APP_SECRET_KEY."
  type        = set(string)
  default     = ["APP_SECRET_KEY"]
  validation {
    condition     = alltrue([for key in var.keys : can(regex("^[A-Z][A-Z0-9_]*$", key))])
    error_message = "Names of settings, such as APP_SECRET_KEY."
  }
}

variable "recovery_days" {
  description = "Days in which a deleted secret can be had back; 0 deletes at once."
  type        = number
  default     = 7
  validation {
    condition     = var.recovery_days == 0 || (var.recovery_days >= 7 && var.recovery_days <= 30)
    error_message = "0, or 7 to 30."
  }
}

variable "kms_key_arn" {
  description = "Key that encrypts the secrets. Null: the one that AWS manages."
  type        = string
  default     = null
}

variable "tags" {
  description = "Tags of everything in this module."
  type        = map(string)
  default     = {}
}

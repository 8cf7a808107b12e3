variable "name" {
  description = "Prefix of the bucket and of the schedules."
  type        = string
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,27}$", var.name))
    error_message = "2 to 28 of a-z, 0-9 and -, beginning with a letter."
  }
}

variable "table_arns" {
  description = "ARNs of the tables by id. Their point-in-time recovery must be on."
  type        = map(string)
}

variable "schedule" {
  description = "When copies are made, in UTC, as EventBridge Scheduler writes it."
  type        = string
  default     = "cron(15 2 * * ? *)"
  validation {
    condition     = can(regex("^(cron|rate)\\(.+\\)$", var.schedule))
    error_message = "cron(…) or rate(…), such as cron(15 2 * * ? *)."
  }
}

variable "keep_days" {
  description = "Days that copies are kept. Somebody who was erased is in them that long."
  type        = number
  default     = 35
  validation {
    condition     = var.keep_days >= 1 && var.keep_days <= 3650
    error_message = "1 to 3650."
  }
}

variable "deletion_protection" {
  description = "Whether the bucket refuses to be deleted with copies in it."
  type        = bool
  default     = true
}

variable "kms_key_arn" {
  description = "Key that encrypts the copies. Null: the one that AWS manages for S3."
  type        = string
  default     = null
}

variable "tags" {
  description = "Tags of everything in this module."
  type        = map(string)
  default     = {}
}

variable "main_table_name" {
  description = "Table of people, events and attendances (DB_MAIN_TABLE_NAME)."
  type        = string
  default     = "crm_data"
  validation {
    condition     = can(regex("^[a-zA-Z0-9_.-]{3,255}$", var.main_table_name))
    error_message = "A table name has 3 to 255 letters, digits, '_', '-' or '.'."
  }
}

variable "email_table_name" {
  description = "Table of campaigns and deliveries (DB_EMAIL_TABLE_NAME)."
  type        = string
  default     = "email_data"
  validation {
    condition     = can(regex("^[a-zA-Z0-9_.-]{3,255}$", var.email_table_name))
    error_message = "A table name has 3 to 255 letters, digits, '_', '-' or '.'."
  }
}

variable "point_in_time_recovery" {
  description = "Whether the tables can be restored to any second of the last 35 days."
  type        = bool
  default     = true
}

variable "deletion_protection" {
  description = "Whether the tables refuse to be deleted."
  type        = bool
  default     = true
}

variable "kms_key_arn" {
  description = "Key that encrypts the tables. Null: the key that AWS owns for the account."
  type        = string
  default     = null
}

variable "tags" {
  description = "Tags of everything in this module."
  type        = map(string)
  default     = {}
}

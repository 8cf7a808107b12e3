variable "name" {
  description = "Name of the configuration set (MAIL_SES_CONFIGURATION_SET) and prefix of the topic."
  type        = string
}

variable "domain" {
  description = "Domain that mail comes from."
  type        = string
  validation {
    condition     = can(regex("^[a-z0-9-]+(\\.[a-z0-9-]+)+$", var.domain))
    error_message = "A domain in lower case, such as mail.example.org."
  }
}

variable "zone_id" {
  description = "Hosted zone of the domain, for the DKIM records. Null: they are put in by hand."
  type        = string
  default     = null
}

variable "public_url" {
  description = "Where the product is reached, without a trailing slash. Null: nothing is subscribed yet."
  type        = string
  default     = null
  validation {
    condition     = var.public_url == null || can(regex("^https://[^/]+$", var.public_url))
    error_message = "https:// and a host, without a trailing slash."
  }
}

variable "event_destination" {
  description = "Whether bounces and complaints are published."
  type        = bool
  default     = true
}

variable "kms_key_arn" {
  description = "Key that encrypts the topic; SES must be allowed to use it. Null: not encrypted, since the key that AWS manages cannot be used by SES."
  type        = string
  default     = null
}

variable "tags" {
  description = "Tags of everything in this module."
  type        = map(string)
  default     = {}
}

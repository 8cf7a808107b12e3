variable "name" {
  description = "Name of the pool and of its client."
  type        = string
}

variable "domain_prefix" {
  description = "First part of the address of the hosted sign-in page; no other account may have it."
  type        = string
  validation {
    condition     = can(regex("^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$", var.domain_prefix))
    error_message = "Letters, digits and hyphens."
  }
}

variable "public_url" {
  description = "Where the product is reached, without a trailing slash."
  type        = string
  validation {
    condition     = can(regex("^https://[^/]+$", var.public_url)) || can(regex("^http://localhost(:[0-9]+)?$", var.public_url))
    error_message = "https:// and a host; http only for localhost."
  }
}

variable "mfa" {
  description = "Second factor: OFF, OPTIONAL or ON."
  type        = string
  default     = "OPTIONAL"
  validation {
    condition     = contains(["OFF", "OPTIONAL", "ON"], var.mfa)
    error_message = "OFF, OPTIONAL or ON."
  }
}

variable "deletion_protection" {
  description = "Whether the pool refuses to be deleted."
  type        = bool
  default     = true
}

variable "kms_key_arn" {
  description = "Key that encrypts the client's secret. Null: the one that AWS manages."
  type        = string
  default     = null
}

variable "tags" {
  description = "Tags of everything in this module."
  type        = map(string)
  default     = {}
}

variable "host" {
  description = "Address of the product, such as crm.example.org."
  type        = string
  validation {
    condition     = can(regex("^[a-z0-9-]+(\\.[a-z0-9-]+)+$", var.host))
    error_message = "A host name in lower case."
  }
}

variable "zone_id" {
  description = "Hosted zone of the domain."
  type        = string
}

variable "load_balancer" {
  description = "Where the address leads."
  type        = object({ dns_name = string, zone_id = string })
}

variable "tags" {
  description = "Tags of everything in this module."
  type        = map(string)
  default     = {}
}

# Three zones, dedicated masters, protected data, mail by SES with its own domain, alarms.

module "emcrm" {
  source = "../../stack"

  name            = "emcrm"
  host            = var.host
  zone_id         = var.zone_id
  image_tag       = var.image_tag
  allowed_cidrs   = var.allowed_cidrs
  zones           = 3
  nat_gateways    = 3
  api             = { min = 2, max = 10, cpu = 512, memory = 1024 }
  worker          = { min = 2, max = 4, cpu = 512, memory = 1024 }
  search          = { instance_type = "r7g.large.search", instance_count = 3, volume_gib = 100, dedicated_masters = 3, warm_nodes = 0, auto_tune = true }
  mail_domain     = var.mail_domain
  mail_zone_id    = var.zone_id
  waf             = true
  alarm_addresses = var.alarm_addresses
}

variable "host" {
  description = "Address of the product."
  type        = string
}

variable "zone_id" {
  description = "Hosted zone of the address and of the mail domain."
  type        = string
}

variable "mail_domain" {
  description = "Domain that mail comes from."
  type        = string
}

variable "alarm_addresses" {
  description = "Who is mailed when an alarm rings."
  type        = set(string)
}

output "emcrm" {
  description = "What is needed to deploy and to look at it."
  value       = module.emcrm
}

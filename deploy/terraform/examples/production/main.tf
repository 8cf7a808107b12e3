# Three zones, dedicated masters, protected data with daily copies, sign-in by Cognito, mail by SES with its own domain, firewall, alarms.

module "emcrm" {
  source = "../../stack"

  name          = "emcrm"
  host          = var.host
  zone_id       = var.zone_id
  image_tag     = var.image_tag
  allowed_cidrs = var.allowed_cidrs
  zones         = 3
  nat_gateways  = 3
  flow_logs     = true
  waf           = true

  api     = { min = 2, max = 10, cpu = 512, memory = 1024 }
  worker  = { min = 2, max = 8, cpu = 512, memory = 1024 }
  backlog = { tasks_per_worker = 1000, agent_image = var.metrics_agent_image }
  search  = var.search

  cognito_domain_prefix  = var.sign_in_prefix
  mail_domain            = var.mail_domain
  mail_zone_id           = var.zone_id
  mail_rate              = var.mail_rate
  mail_events_public     = var.mail_events_public
  mail_event_destination = var.mail_event_destination

  backup_keep_days    = 35
  deletion_protection = var.deletion_protection
  alarm_addresses     = var.alarm_addresses
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

variable "mail_rate" {
  description = "Mails a second that SES lets the account send, over all workers; `aws sesv2 get-account` tells it as MaxSendRate. 14 is what many accounts begin with."
  type        = number
  default     = 14
}

variable "mail_events_public" {
  description = "Whether SNS may post bounces and complaints to the product: allowed_cidrs must let it in, and the product must run, so it is switched on after the first apply."
  type        = bool
  default     = false
}

variable "mail_event_destination" {
  description = "Whether SES publishes bounces and complaints."
  type        = bool
  default     = true
}

variable "sign_in_prefix" {
  description = "First part of the address of the sign-in page; no other account may have it."
  type        = string
}

variable "alarm_addresses" {
  description = "Who is mailed when an alarm rings."
  type        = set(string)
}

variable "metrics_agent_image" {
  description = "CloudWatch agent that tells how much work waits. Name a version that you have looked at."
  type        = string
  default     = "public.ecr.aws/cloudwatch-agent/cloudwatch-agent:1.300062.0b1304"
}

variable "deletion_protection" {
  description = "Whether data refuses to be deleted. Set it to false, apply, and only then destroy."
  type        = bool
  default     = true
}

variable "search" {
  description = "The search domain. Null: none, which suits no installation with more than one task; for trying the rest out."
  type = object({
    instance_type     = string
    instance_count    = number
    volume_gib        = number
    dedicated_masters = number
    warm_nodes        = number
    auto_tune         = bool
    public            = optional(bool, false)
    dashboards_prefix = optional(string)
  })
  default = { instance_type = "r7g.large.search", instance_count = 3, volume_gib = 100, dedicated_masters = 3, warm_nodes = 0, auto_tune = true }
}

output "emcrm" {
  description = "What is needed to deploy and to look at it."
  value       = module.emcrm
}

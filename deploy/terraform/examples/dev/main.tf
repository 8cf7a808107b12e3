# Cheap: one task of each kind, one small search node, one way out. Everything can be deleted.

module "emcrm" {
  source = "../../stack"

  name                   = "emcrm-dev"
  host                   = "crm-dev.example.org"
  certificate_arn        = var.certificate_arn
  image_tag              = var.image_tag
  allowed_cidrs          = var.allowed_cidrs
  autoscaling            = var.autoscaling
  search                 = var.search
  deletion_protection    = false
  point_in_time_recovery = false
}

variable "certificate_arn" {
  description = "Certificate of the address."
  type        = string
}

variable "autoscaling" {
  description = "Whether the number of tasks follows CPU and requests."
  type        = bool
  default     = true
}

variable "search" {
  description = "The search domain. Null: none, and each task searches in an index of its own, which suits one task only."
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
  default = { instance_type = "t3.small.search", instance_count = 1, volume_gib = 10, dedicated_masters = 0, warm_nodes = 0, auto_tune = false }
}

output "emcrm" {
  description = "What is needed to deploy and to look at it."
  value       = module.emcrm
}

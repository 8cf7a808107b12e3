variable "name" {
  description = "Name of the dashboard, and prefix of the alarms."
  type        = string
}

variable "account_id" {
  description = "Account of the search domain, as its metrics name it."
  type        = string
}

variable "alarm_addresses" {
  description = "Who is mailed when an alarm rings."
  type        = set(string)
  default     = []
  validation {
    condition     = alltrue([for address in var.alarm_addresses : can(regex("^[^@ ]+@[^@ ]+$", address))])
    error_message = "Mail addresses."
  }
}

variable "cluster_name" {
  description = "Cluster of the services."
  type        = string
}

variable "load_balancer_suffix" {
  description = "Load balancer, as its metrics name it."
  type        = string
}

variable "target_group_suffix" {
  description = "Target group, as its metrics name it."
  type        = string
}

variable "table_names" {
  description = "Names of the tables by id."
  type        = map(string)
}

variable "search_domain" {
  description = "Search domain. Null: none."
  type        = string
  default     = null
}

variable "backup_schedules" {
  description = "Group of the schedules that make daily copies of the tables. Null: none."
  type        = string
  default     = null
}

variable "product_metrics" {
  description = "Where the product's own metrics lie in CloudWatch. Null: nowhere."
  type        = string
  default     = null
}

variable "kms_key_arn" {
  description = "Key that encrypts the topic. Null: not encrypted; what is published are names of alarms."
  type        = string
  default     = null
}

variable "tags" {
  description = "Tags of everything in this module."
  type        = map(string)
  default     = {}
}

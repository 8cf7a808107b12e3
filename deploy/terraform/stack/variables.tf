variable "name" {
  description = "Name of the installation, and prefix of everything in it; at most 24 characters."
  type        = string
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,23}$", var.name))
    error_message = "3 to 24 of a-z, 0-9 and -, beginning with a letter."
  }
}

variable "host" {
  description = "Address of the product, such as crm.example.org."
  type        = string
  validation {
    condition     = can(regex("^[a-z0-9-]+(\\.[a-z0-9-]+)+$", var.host))
    error_message = "A host name in lower case, without https://."
  }
}

variable "allowed_cidrs" {
  description = "Networks that may reach the product. Where nobody has to sign in, only those of people who may do everything."
  type        = list(string)
  validation {
    condition     = length(var.allowed_cidrs) > 0 && alltrue([for cidr in var.allowed_cidrs : can(cidrhost(cidr, 0))])
    error_message = "One or more blocks, such as 198.51.100.0/24."
  }
}

variable "zone_id" {
  description = "Hosted zone of the address. Null: the address and the certificate are made elsewhere."
  type        = string
  default     = null
}

variable "certificate_arn" {
  description = "Certificate of the address, where zone_id is null."
  type        = string
  default     = null
}

variable "image_tag" {
  description = "Tag of the image that runs."
  type        = string
  validation {
    condition     = can(regex("^[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127}$", var.image_tag)) && var.image_tag != "latest"
    error_message = "A tag that means one image for ever, such as a commit; not latest."
  }
}

variable "cidr" {
  description = "Addresses of the network."
  type        = string
  default     = "10.40.0.0/16"
}

variable "zones" {
  description = "Availability zones that are used."
  type        = number
  default     = 2
}

variable "flow_logs" {
  description = "Whether refused connections in the network are logged."
  type        = bool
  default     = false
}

variable "nat_gateways" {
  description = "Ways out of the private subnets."
  type        = number
  default     = 1
}

variable "api" {
  description = "Tasks that answer."
  type        = object({ min = number, max = number, cpu = number, memory = number })
  default     = { min = 1, max = 2, cpu = 256, memory = 512 }
}

variable "worker" {
  description = "Tasks that run work."
  type        = object({ min = number, max = number, cpu = number, memory = number })
  default     = { min = 1, max = 2, cpu = 256, memory = 512 }
}

variable "autoscaling" {
  description = "Whether the number of tasks follows CPU and requests."
  type        = bool
  default     = true
}

variable "backlog" {
  description = "Scaling of the worker by tasks that wait, with the CloudWatch agent's image. Null: by CPU only."
  type        = object({ tasks_per_worker = number, agent_image = string })
  default     = null
  validation {
    condition     = var.backlog == null || try(can(regex("(:[^:/]+|@sha256:[0-9a-f]{64})$", var.backlog.agent_image)) && !endswith(var.backlog.agent_image, ":latest"), false)
    error_message = "An image with a tag or digest that means one version; not latest."
  }
}

variable "search" {
  description = "The search domain. public: reached from the internet and guarded by signatures, instead of inside the network. warm_nodes: 0, or 2 and more, which need dedicated masters. dashboards_prefix: first part of the address of a sign-in page for Dashboards; null: nobody signs in there."
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

variable "mail_domain" {
  description = "Domain that mail comes from. Null: SES is not used."
  type        = string
  default     = null
}

variable "mail_zone_id" {
  description = "Hosted zone of that domain."
  type        = string
  default     = null
}

variable "mail_from_name" {
  description = "Name that mail comes from."
  type        = string
  default     = "Events"
}

variable "mail_rate" {
  description = "Mails a second that SES lets the account send, shared out among all workers that there may be: each gets MAIL_RATE, so that together they never ask for more. Null: each worker takes the whole rate, which suits one worker."
  type        = number
  default     = null
  validation {
    condition     = var.mail_rate == null || try(var.mail_rate >= 1 && floor(var.mail_rate) == var.mail_rate, false)
    error_message = "A whole number, 1 or more."
  }
}

variable "mail_event_destination" {
  description = "Whether SES publishes bounces and complaints."
  type        = bool
  default     = true
}

variable "mail_events_public" {
  description = "Whether SNS can reach the product, so that bounces and complaints are posted to it."
  type        = bool
  default     = false
}

variable "cognito_domain_prefix" {
  description = "First part of the address of the sign-in page. Null: no user pool."
  type        = string
  default     = null
}

variable "secret_keys" {
  description = "Settings that are secrets."
  type        = set(string)
  default     = ["APP_SECRET_KEY"]
}

variable "settings" {
  description = "More settings of the product; they win over those made here."
  type        = map(string)
  default     = {}
}

variable "waf" {
  description = "Whether a web application firewall stands before the load balancer."
  type        = bool
  default     = false
}

variable "point_in_time_recovery" {
  description = "Whether the tables can be restored to any second of the last 35 days."
  type        = bool
  default     = true
}

variable "backup_keep_days" {
  description = "Days that daily copies of the tables are kept in a bucket; needs point_in_time_recovery. Null: none are made."
  type        = number
  default     = null
}

variable "deletion_protection" {
  description = "Whether data refuses to be deleted."
  type        = bool
  default     = true
}

variable "alarm_addresses" {
  description = "Who is mailed when an alarm rings."
  type        = set(string)
  default     = []
}

variable "tags" {
  description = "Tags of everything."
  type        = map(string)
  default     = {}
}

variable "name" {
  description = "Name of the cluster, and prefix of its parts."
  type        = string
}

variable "image" {
  description = "Image with its tag or digest."
  type        = string
}

variable "architecture" {
  description = "What the image was built for: X86_64 or ARM64."
  type        = string
  default     = "X86_64"
  validation {
    condition     = contains(["X86_64", "ARM64"], var.architecture)
    error_message = "X86_64 or ARM64."
  }
}

variable "repository_arn" {
  description = "Repository of the image."
  type        = string
}

variable "vpc_id" {
  description = "Network."
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets."
  type        = list(string)
}

variable "target_group_arn" {
  description = "Where the API's tasks are registered."
  type        = string
}

variable "load_balancer_security_group_id" {
  description = "Who may reach the API."
  type        = string
}

variable "request_count_label" {
  description = "Load balancer and target group, as the metric of requests names them."
  type        = string
}

variable "requests_per_task" {
  description = "Requests a minute that one API task shall have."
  type        = number
  default     = 30000
}

variable "api" {
  description = "Tasks that answer: how many, CPU units, MiB."
  type        = object({ min = number, max = number, cpu = number, memory = number })
  default     = { min = 1, max = 4, cpu = 256, memory = 512 }
  validation {
    condition     = var.api.min >= 1 && var.api.max >= var.api.min
    error_message = "min is 1 or more, max at least min."
  }
}

variable "worker" {
  description = "Tasks that run work: how many (at most 16 have something to do), CPU units, MiB."
  type        = object({ min = number, max = number, cpu = number, memory = number })
  default     = { min = 1, max = 2, cpu = 256, memory = 512 }
  validation {
    condition     = var.worker.min >= 1 && var.worker.max >= var.worker.min && var.worker.max <= 16
    error_message = "min is 1 or more, max at least min and at most 16."
  }
}

variable "autoscaling" {
  description = "Whether the number of tasks follows CPU and requests."
  type        = bool
  default     = true
}

variable "backlog" {
  description = "Scaling of the worker by tasks that wait: how many each worker may have, and the image of the CloudWatch agent that tells. Null: by CPU only."
  type        = object({ tasks_per_worker = number, agent_image = string })
  default     = null
  validation {
    condition     = var.backlog == null || try(var.backlog.tasks_per_worker >= 1, false)
    error_message = "At least 1 task for each worker."
  }
}

variable "environment" {
  description = "Settings of the product."
  type        = map(string)
}

variable "secret_arns" {
  description = "Settings that are secrets, with the ARNs of their values; names are known before the ARNs."
  type        = map(string)
}

variable "task_role_arn" {
  description = "Role of the product."
  type        = string
}

variable "task_role_name" {
  description = "Name of that role; this module gives it its rights."
  type        = string
}

variable "table_arns" {
  description = "Tables of the product."
  type        = map(string)
}

variable "search_arn" {
  description = "Search domain. Null: none."
  type        = string
  default     = null
}

variable "mail_identity_arn" {
  description = "Identity that mail is sent from. Null: SES is not used."
  type        = string
  default     = null
}

variable "log_retention_days" {
  description = "Days that logs are kept, as CloudWatch knows them."
  type        = number
  default     = 30
  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731], var.log_retention_days)
    error_message = "1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545 or 731."
  }
}

variable "kms_key_arn" {
  description = "Key that encrypts logs. Null: the one that AWS manages."
  type        = string
  default     = null
}

variable "tags" {
  description = "Tags of everything in this module."
  type        = map(string)
  default     = {}
}

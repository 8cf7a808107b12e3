variable "name" {
  description = "Name of the repository."
  type        = string
}

variable "keep" {
  description = "Images that are kept."
  type        = number
  default     = 30
  validation {
    condition     = var.keep >= 2
    error_message = "At least two, or nothing is left to roll back to."
  }
}

variable "force_delete" {
  description = "Whether the repository may be deleted with images in it."
  type        = bool
  default     = false
}

variable "tags" {
  description = "Tags of everything in this module."
  type        = map(string)
  default     = {}
}

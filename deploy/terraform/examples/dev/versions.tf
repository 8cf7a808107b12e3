terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.80, < 6.0"
    }
  }

  # Where the state is kept, so that several people can work on it. Make the bucket first, then: terraform init -backend-config=backend.hcl
  # backend "s3" {}
}

provider "aws" {
  region = var.region
}

variable "region" {
  description = "AWS region."
  type        = string
  default     = "eu-central-1"
}

variable "image_tag" {
  description = "Tag of the image that runs."
  type        = string
}

variable "allowed_cidrs" {
  description = "Networks that may reach the product."
  type        = list(string)
}

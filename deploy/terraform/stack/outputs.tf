output "url" {
  description = "Where the product is reached."
  value       = local.public_url
}

output "load_balancer" {
  description = "Where the address has to lead, if it is made elsewhere."
  value       = module.alb.dns_name
}

output "repository_url" {
  description = "Where the image is pushed to."
  value       = module.ecr.repository_url
}

output "tables" {
  description = "Names of the tables."
  value       = module.dynamodb.table_names
}

output "cluster" {
  description = "Cluster of the services."
  value       = module.ecs.cluster_name
}

output "secrets" {
  description = "Secrets that need a value before the first start."
  value       = module.secrets.arns
}

output "dkim_tokens" {
  description = "For the records of the mail domain, where Route 53 does not have it."
  value       = try(module.ses[0].dkim_tokens, [])
}

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

output "services" {
  description = "Names of the services in it."
  value       = module.ecs.service_names
}

output "logs" {
  description = "Log groups of the services."
  value       = module.ecs.log_group_names
}

output "dashboard" {
  description = "Name of the dashboard in CloudWatch."
  value       = module.cloudwatch.dashboard
}

output "backup_bucket" {
  description = "Where the daily copies of the tables lie. Null: none are made."
  value       = try(module.backup[0].bucket, null)
}

output "sign_in" {
  description = "User pool and first part of the sign-in page's address. Null: nobody signs in."
  value       = try({ user_pool_id = module.cognito[0].user_pool_id, domain = module.cognito[0].sign_in_domain }, null)
}

output "search_dashboards" {
  description = "Dashboards of the search, the pool of those who may sign in there, and the role that has to be mapped there to all_access before the product can search. Null: nobody signs in."
  value       = try({ url = "${module.opensearch[0].endpoint}/_dashboards", user_pool_id = module.dashboards[0].user_pool_id, product_role = aws_iam_role.task.arn }, null)
}

output "secrets" {
  description = "Secrets that need a value before the first start."
  value       = module.secrets.arns
}

output "dkim_tokens" {
  description = "For the records of the mail domain, where Route 53 does not have it."
  value       = try(module.ses[0].dkim_tokens, [])
}

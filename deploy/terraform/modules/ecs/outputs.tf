output "cluster_name" {
  description = "Name of the cluster."
  value       = aws_ecs_cluster.this.name
}

output "service_names" {
  description = "Names of the services."
  value       = { for key, service in aws_ecs_service.this : key => service.name }
}

output "log_group_names" {
  description = "Log groups of the services."
  value       = { for key, group in aws_cloudwatch_log_group.this : key => group.name }
}

output "product_metrics" {
  description = "Where the product's own metrics lie in CloudWatch. Null: nowhere."
  value       = var.backlog == null ? null : local.metrics_space
}

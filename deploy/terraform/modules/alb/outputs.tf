output "dns_name" {
  description = "Address that AWS gave the load balancer."
  value       = aws_lb.this.dns_name
}

output "zone_id" {
  description = "Hosted zone of that address, for alias records."
  value       = aws_lb.this.zone_id
}

output "arn_suffix" {
  description = "For metrics."
  value       = aws_lb.this.arn_suffix
}

output "target_group_arn" {
  description = "Where the API's tasks are registered."
  value       = aws_lb_target_group.api.arn
}

output "target_group_arn_suffix" {
  description = "For metrics."
  value       = aws_lb_target_group.api.arn_suffix
}

output "security_group_id" {
  description = "Group of the load balancer."
  value       = aws_security_group.this.id
}

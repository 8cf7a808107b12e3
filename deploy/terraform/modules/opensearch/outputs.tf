output "endpoint" {
  description = "Value of OPENSEARCH_ENDPOINT."
  value       = "https://${aws_opensearch_domain.this.endpoint}"
}

output "arn" {
  description = "ARN of the domain."
  value       = aws_opensearch_domain.this.arn
}

output "name" {
  description = "Name of the domain."
  value       = aws_opensearch_domain.this.domain_name
}

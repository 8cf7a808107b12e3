output "table_names" {
  description = "Names of the tables by id: main, email."
  value       = { for id, table in aws_dynamodb_table.this : id => table.name }
}

output "table_arns" {
  description = "ARNs of the tables by id."
  value       = { for id, table in aws_dynamodb_table.this : id => table.arn }
}

output "user_pool_id" {
  description = "Value of AUTH_COGNITO_USER_POOL_ID."
  value       = aws_cognito_user_pool.this.id
}

output "client_id" {
  description = "Value of AUTH_COGNITO_CLIENT_ID."
  value       = aws_cognito_user_pool_client.this.id
}

output "sign_in_domain" {
  description = "First part of the hosted page's address."
  value       = aws_cognito_user_pool_domain.this.domain
}

output "client_secret_arn" {
  description = "Where the value of AUTH_COGNITO_CLIENT_SECRET lies."
  value       = aws_secretsmanager_secret_version.client.arn
}

output "cognito" {
  description = "What the search domain has to know."
  value = {
    user_pool_id     = aws_cognito_user_pool.this.id
    identity_pool_id = aws_cognito_identity_pool.this.id
    role_arn         = aws_iam_role.service.arn
  }
  # The domain is refused where one of them is missing.
  depends_on = [
    aws_cognito_user_pool_domain.this,
    aws_cognito_identity_pool_roles_attachment.this,
    aws_iam_role_policy_attachment.service,
  ]
}

output "user_pool_id" {
  description = "Pool of those who may sign in."
  value       = aws_cognito_user_pool.this.id
}

output "user_role_arn" {
  description = "Role of those who have signed in."
  value       = aws_iam_role.user.arn
}

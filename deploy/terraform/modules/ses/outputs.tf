output "configuration_set" {
  description = "Value of MAIL_SES_CONFIGURATION_SET."
  value       = aws_sesv2_configuration_set.this.configuration_set_name
}

output "topic_arn" {
  description = "Value of MAIL_SNS_TOPIC."
  value       = aws_sns_topic.events.arn
}

output "identity_arn" {
  description = "ARN of the sender's domain."
  value       = aws_sesv2_email_identity.this.arn
}

output "dkim_tokens" {
  description = "For the records that prove who sent a mail, where Route 53 does not have the domain."
  value       = aws_sesv2_email_identity.this.dkim_signing_attributes[0].tokens
}

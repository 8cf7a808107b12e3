output "bucket" {
  description = "Where the copies lie."
  value       = aws_s3_bucket.this.id
}

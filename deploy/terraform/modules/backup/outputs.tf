output "bucket" {
  description = "Where the copies lie."
  value       = aws_s3_bucket.this.id
}

output "schedule_group" {
  description = "Group of the schedules that make the copies, as their metrics name it."
  value       = aws_scheduler_schedule_group.this.name
}

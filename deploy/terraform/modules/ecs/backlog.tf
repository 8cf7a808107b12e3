# Scaling of the worker by what waits. The product tells it at /metrics; a CloudWatch agent beside one worker reads that over loopback, which needs no
# token, and writes it to CloudWatch. All workers see the same queues, so each tells the same figure.

locals {
  backlog         = var.backlog == null ? [] : [var.backlog]
  queues          = ["index", "mail", "default"]
  metrics_space   = "EMCRM/${var.name}"
  running_metrics = { ClusterName = aws_ecs_cluster.this.name, ServiceName = "worker" }

  metrics_containers = [for backlog in local.backlog : {
    name  = "metrics"
    image = backlog.agent_image
    # Work goes on where the agent does not.
    essential = false
    environment = [
      { name = "PROMETHEUS_CONFIG_CONTENT", value = jsonencode({
        global         = { scrape_interval = "1m", scrape_timeout = "10s" }
        scrape_configs = [{ job_name = "emcrm", metrics_path = "/metrics", static_configs = [{ targets = ["127.0.0.1:8080"] }] }]
      }) },
      { name = "CW_CONFIG_CONTENT", value = jsonencode({
        logs = { metrics_collected = { prometheus = {
          prometheus_config_path = "env:PROMETHEUS_CONFIG_CONTENT"
          log_group_name         = aws_cloudwatch_log_group.metrics[0].name
          emf_processor = {
            metric_namespace = local.metrics_space
            metric_declaration = [{
              source_labels    = ["job"]
              label_matcher    = "^emcrm$"
              dimensions       = [["queue"]]
              metric_selectors = ["^emcrm_tasks_(waiting|oldest_seconds|dead)$"]
            }]
          }
        } } }
      }) },
    ]
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.this["worker"].name
        awslogs-region        = data.aws_region.current.name
        awslogs-stream-prefix = "metrics"
      }
    }
  }]
}

resource "aws_cloudwatch_log_group" "metrics" {
  #checkov:skip=CKV_AWS_338:Only carries figures to the metrics, which keep them
  count             = length(local.backlog)
  name              = "/ecs/${var.name}/metrics"
  retention_in_days = 3
  kms_key_id        = var.kms_key_arn
  tags              = var.tags
}

resource "aws_appautoscaling_policy" "backlog" {
  count              = var.autoscaling ? length(local.backlog) : 0
  name               = "${var.name}-worker-backlog"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.this["worker"].service_namespace
  scalable_dimension = aws_appautoscaling_target.this["worker"].scalable_dimension
  resource_id        = aws_appautoscaling_target.this["worker"].resource_id

  target_tracking_scaling_policy_configuration {
    target_value       = local.backlog[0].tasks_per_worker
    scale_in_cooldown  = 300
    scale_out_cooldown = 60
    customized_metric_specification {
      dynamic "metrics" {
        for_each = local.queues
        content {
          id          = metrics.value
          label       = "Tasks that wait: ${metrics.value}"
          return_data = false
          metric_stat {
            stat = "Average"
            metric {
              namespace   = local.metrics_space
              metric_name = "emcrm_tasks_waiting"
              dimensions {
                name  = "queue"
                value = metrics.value
              }
            }
          }
        }
      }
      metrics {
        id          = "workers"
        label       = "Workers that run"
        return_data = false
        metric_stat {
          stat = "Average"
          metric {
            namespace   = "ECS/ContainerInsights"
            metric_name = "RunningTaskCount"
            dynamic "dimensions" {
              for_each = local.running_metrics
              content {
                name  = dimensions.key
                value = dimensions.value
              }
            }
          }
        }
      }
      metrics {
        id          = "each"
        label       = "Tasks that wait for each worker"
        expression  = "(${join(" + ", local.queues)}) / workers"
        return_data = true
      }
    }
  }
}

# Alarms that mean something for people, and one page to look at when they ring.

data "aws_region" "current" {}

resource "aws_sns_topic" "alarms" {
  name              = "${var.name}-alarms"
  kms_master_key_id = var.kms_key_arn
  tags              = var.tags
}

resource "aws_sns_topic_subscription" "mail" {
  for_each  = var.alarm_addresses
  topic_arn = aws_sns_topic.alarms.arn
  protocol  = "email"
  endpoint  = each.value
}

locals {
  balancer = { LoadBalancer = var.load_balancer_suffix }
  queues   = var.product_metrics == null ? [] : ["index", "mail", "default"]
  alarms = merge({
    errors        = { namespace = "AWS/ApplicationELB", metric = "HTTPCode_Target_5XX_Count", statistic = "Sum", dimensions = local.balancer, threshold = 10, says = "Requests fail: look at the API's log for the cause" }
    unhealthy     = { namespace = "AWS/ApplicationELB", metric = "UnHealthyHostCount", statistic = "Maximum", dimensions = merge(local.balancer, { TargetGroup = var.target_group_suffix }), threshold = 0, says = "An API task does not get ready" }
    slow          = { namespace = "AWS/ApplicationELB", metric = "TargetResponseTime", statistic = "p99", dimensions = local.balancer, threshold = 1, says = "One request in a hundred takes more than a second" }
    api_cpu       = { namespace = "AWS/ECS", metric = "CPUUtilization", statistic = "Average", dimensions = { ClusterName = var.cluster_name, ServiceName = "api" }, threshold = 85, says = "The API is short of CPU, although it scales" }
    worker_memory = { namespace = "AWS/ECS", metric = "MemoryUtilization", statistic = "Maximum", dimensions = { ClusterName = var.cluster_name, ServiceName = "worker" }, threshold = 85, says = "A worker is short of memory" }
    },
    { for id, table in var.table_names : "throttled_${id}" => { namespace = "AWS/DynamoDB", metric = "ThrottledRequests", statistic = "Sum", dimensions = { TableName = table }, threshold = 0, says = "DynamoDB throttles: one event or campaign is hotter than a partition" } },
    { for queue in local.queues : "waits_${queue}" => { namespace = var.product_metrics, metric = "emcrm_tasks_oldest_seconds", statistic = "Maximum", dimensions = { queue = queue }, threshold = 600, says = "Tasks of the queue ${queue} wait for more than ten minutes: emcrm doctor says what for" } },
    { for queue in local.queues : "dead_${queue}" => { namespace = var.product_metrics, metric = "emcrm_tasks_dead", statistic = "Maximum", dimensions = { queue = queue }, threshold = 0, says = "A task of the queue ${queue} was given up: emcrm doctor names it" } },
    var.search_domain == null ? {} : {
      search_red  = { namespace = "AWS/ES", metric = "ClusterStatus.red", statistic = "Maximum", dimensions = { DomainName = var.search_domain, ClientId = var.account_id }, threshold = 0, says = "The search has lost a shard: emcrm reindex, once it is well" }
      search_disk = { namespace = "AWS/ES", metric = "ClusterIndexWritesBlocked", statistic = "Maximum", dimensions = { DomainName = var.search_domain, ClientId = var.account_id }, threshold = 0, says = "The search takes no writes: its disk is full" }
  })
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each            = local.alarms
  alarm_name          = "${var.name}-${replace(each.key, "_", "-")}"
  alarm_description   = each.value.says
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = startswith(each.value.statistic, "p") ? null : each.value.statistic
  extended_statistic  = startswith(each.value.statistic, "p") ? each.value.statistic : null
  period              = 60
  evaluation_periods  = 5
  datapoints_to_alarm = 3
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.threshold
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
  tags                = var.tags
}

# Once a night, so one fault is enough. An export that begins and then fails is told by DynamoDB alone: `aws dynamodb list-exports`.
resource "aws_cloudwatch_metric_alarm" "backup" {
  for_each = var.backup_schedules == null ? {} : {
    refused = { metric = "TargetErrorCount", says = "DynamoDB refuses to begin a copy of a table; it is asked again for two hours" }
    dropped = { metric = "InvocationDroppedCount", says = "A table was not copied tonight: is its point-in-time recovery on, and may the role export it?" }
  }
  alarm_name          = "${var.name}-backup-${each.key}"
  alarm_description   = each.value.says
  namespace           = "AWS/Scheduler"
  metric_name         = each.value.metric
  dimensions          = { ScheduleGroup = var.backup_schedules }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
  tags                = var.tags
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = var.name
  dashboard_body = jsonencode({
    widgets = [
      for place, widget in concat([
        { title = "Requests a minute", metrics = [["AWS/ApplicationELB", "RequestCount", "LoadBalancer", var.load_balancer_suffix, { stat = "Sum" }]] },
        { title = "Failed requests a minute", metrics = [["AWS/ApplicationELB", "HTTPCode_Target_5XX_Count", "LoadBalancer", var.load_balancer_suffix, { stat = "Sum" }]] },
        { title = "Seconds to an answer", metrics = [for stat in ["p50", "p99"] : ["AWS/ApplicationELB", "TargetResponseTime", "LoadBalancer", var.load_balancer_suffix, { stat = stat }]] },
        { title = "CPU", metrics = [for service in ["api", "worker"] : ["AWS/ECS", "CPUUtilization", "ClusterName", var.cluster_name, "ServiceName", service]] },
        { title = "Capacity of the tables", metrics = [for pair in setproduct(values(var.table_names), ["ConsumedReadCapacityUnits", "ConsumedWriteCapacityUnits"]) : ["AWS/DynamoDB", pair[1], "TableName", pair[0], { stat = "Sum" }]] },
        { title = "Throttled requests", metrics = [for table in values(var.table_names) : ["AWS/DynamoDB", "ThrottledRequests", "TableName", table, { stat = "Sum" }]] },
        ],
        var.product_metrics == null ? [] : [
          { title = "Tasks that wait", metrics = [for queue in local.queues : [var.product_metrics, "emcrm_tasks_waiting", "queue", queue, { stat = "Maximum" }]] },
          { title = "Age of the oldest task, seconds", metrics = [for queue in local.queues : [var.product_metrics, "emcrm_tasks_oldest_seconds", "queue", queue, { stat = "Maximum" }]] },
        ]) : {
        type   = "metric"
        width  = 12
        height = 6
        x      = (place % 2) * 12
        y      = floor(place / 2) * 6
        properties = {
          title   = widget.title
          metrics = widget.metrics
          region  = data.aws_region.current.name
          period  = 60
          view    = "timeSeries"
        }
      }
    ]
  })
}

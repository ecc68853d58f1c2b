# Alarms. CloudTrail's events come by EventBridge only where the account has a trail that logs.

resource "aws_sns_topic" "alarms" {
  name = "${var.cluster_id}-alarms"
}

resource "aws_sns_topic_subscription" "email" {
  count     = var.email != "" ? 1 : 0
  topic_arn = aws_sns_topic.alarms.arn
  protocol  = "email"
  endpoint  = var.email
}

resource "aws_cloudwatch_log_group" "events" {
  name              = "/aws/events/${var.cluster_id}"
  retention_in_days = 90
}

data "aws_iam_policy_document" "events" {
  statement {
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${local.event_log}:*"]
    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com", "delivery.logs.amazonaws.com"]
    }
  }
}

resource "aws_cloudwatch_log_resource_policy" "events" {
  policy_name     = "${var.cluster_id}-events"
  policy_document = data.aws_iam_policy_document.events.json
}

locals {
  event_log = "arn:${local.partition}:logs:${local.region}:${local.account}:log-group:${aws_cloudwatch_log_group.events.name}"
  keys      = [aws_kms_key.key.key_id, aws_kms_key.key.arn, aws_kms_key.copy.key_id, aws_kms_key.copy.arn]

  patterns = {
    disabled-by-somebody = {
      source      = ["aws.kms"]
      detail-type = ["AWS API Call via CloudTrail"]
      detail = {
        eventSource       = ["kms.amazonaws.com"]
        eventName         = ["DisableKey"]
        errorCode         = [{ exists = false }]
        requestParameters = { keyId = local.keys }
        "$or" = [
          { userIdentity = { sessionContext = { sessionIssuer = { arn = [{ exists = false }] } } } },
          { userIdentity = { sessionContext = { sessionIssuer = { arn = [{ anything-but = [aws_iam_role.run.arn] }] } } } },
        ]
      }
    }
    deletion-scheduled = {
      source      = ["aws.kms"]
      detail-type = ["AWS API Call via CloudTrail"]
      detail = {
        eventSource       = ["kms.amazonaws.com"]
        eventName         = ["ScheduleKeyDeletion"]
        errorCode         = [{ exists = false }]
        requestParameters = { keyId = local.keys }
      }
    }
    key-not-accessible = {
      source      = ["aws.rds"]
      detail-type = ["RDS DB Instance Event"]
      detail = {
        EventID          = ["RDS-EVENT-0418", "RDS-EVENT-0419"]
        SourceIdentifier = concat([aws_rds_cluster_instance.writer.id], aws_rds_cluster_instance.reader[*].id)
      }
    }
  }

  descriptions = {
    disabled-by-somebody = "Somebody else than the run role has disabled a key; who it was is in the log group"
    deletion-scheduled   = "A key is pending deletion, after 7 days or more it is gone; aws kms cancel-key-deletion ends that"
    key-not-accessible   = "RDS cannot use the key of the cluster"
  }
}

resource "aws_cloudwatch_event_rule" "rule" {
  for_each      = local.patterns
  name          = "${var.cluster_id}-${each.key}"
  description   = local.descriptions[each.key]
  event_pattern = jsonencode(each.value)
  depends_on    = [aws_cloudwatch_log_resource_policy.events]
}

resource "aws_cloudwatch_event_target" "log" {
  for_each  = local.patterns
  rule      = aws_cloudwatch_event_rule.rule[each.key].name
  target_id = "log"
  arn       = local.event_log
}

resource "aws_cloudwatch_metric_alarm" "rule" {
  for_each            = local.patterns
  alarm_name          = "${var.cluster_id}-${each.key}"
  alarm_description   = local.descriptions[each.key]
  namespace           = "AWS/Events"
  metric_name         = "TriggeredRules"
  dimensions          = { RuleName = aws_cloudwatch_event_rule.rule[each.key].name }
  statistic           = "Sum"
  period              = 60
  evaluation_periods  = 1
  threshold           = 1
  comparison_operator = "GreaterThanOrEqualToThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
}

resource "aws_cloudwatch_metric_alarm" "stop" {
  alarm_name          = "${var.cluster_id}-stop"
  alarm_description   = "Ends a run: the metric Stop was sent"
  namespace           = "ChaosKms"
  metric_name         = "Stop"
  dimensions          = { Cluster = var.cluster_id }
  statistic           = "Sum"
  period              = 60
  evaluation_periods  = 1
  threshold           = 1
  comparison_operator = "GreaterThanOrEqualToThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
}

resource "aws_cloudwatch_metric_alarm" "copy_failed" {
  alarm_name          = "${var.cluster_id}-copy-failed"
  alarm_description   = "A copy under the second key has failed; the guard refuses when the newest is too old"
  namespace           = "AWS/States"
  metric_name         = "ExecutionsFailed"
  dimensions          = { StateMachineArn = aws_sfn_state_machine.copy.arn }
  statistic           = "Sum"
  period              = 60
  evaluation_periods  = 1
  threshold           = 1
  comparison_operator = "GreaterThanOrEqualToThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
}

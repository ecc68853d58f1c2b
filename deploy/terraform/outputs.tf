locals {
  settings = {
    AWS_REGION             = local.region
    CHAOS_TARGET           = "aws"
    CHAOS_ALLOWED_ACCOUNTS = local.account
    CHAOS_CLUSTER_ID       = aws_rds_cluster.database.id
    CHAOS_KEY_ID           = aws_kms_key.key.arn
    CHAOS_DATABASE_AUTH    = "secret"
    CHAOS_DATABASE_SECRET  = aws_rds_cluster.database.master_user_secret[0].secret_arn
    CHAOS_SWITCH_ROLE      = aws_iam_role.switch.arn
    CHAOS_STOP_ALARMS      = aws_cloudwatch_metric_alarm.stop.alarm_name
    CHAOS_ALARMS           = aws_cloudwatch_metric_alarm.rule["key-not-accessible"].alarm_name
  }
}

output "env" {
  description = "The variables that experiments read: eval \"$(terraform output -raw env)\""
  value       = join("\n", [for name, value in local.settings : "export ${name}='${value}'"])
}

output "run_role" {
  description = "Whoever runs experiments assumes it"
  value       = aws_iam_role.run.arn
}

output "copy" {
  description = "The state machine that makes a copy under the second key"
  value       = aws_sfn_state_machine.copy.arn
}

output "event_log" {
  description = "The log group with the events of the alarms, and who caused them"
  value       = aws_cloudwatch_log_group.events.name
}

"""An alarm of CloudWatch, as any other."""

from __future__ import annotations

from typing import Any

__all__ = ["put_alarm"]


def put_alarm(cloudwatch: Any, name: str) -> None:
    """Makes one; what it looks at plays no part."""
    cloudwatch.put_metric_alarm(
        AlarmName=name,
        Namespace="shop",
        MetricName="errors",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1.0,
        ComparisonOperator="GreaterThanThreshold",
    )

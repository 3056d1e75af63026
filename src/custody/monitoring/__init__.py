"""Windows of predictions and labels to performance, value, drift, alerts and health; measures and never acts."""

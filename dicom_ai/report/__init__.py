"""Report: findings become a Structured Report and heatmap captures (pure: same input, same output)."""

"""Floor 0: words. No torch, no inspect, no pandas."""

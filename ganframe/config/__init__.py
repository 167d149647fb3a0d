"""What a user writes: components, kinds, schedules, specs, experiments, YAML. Free of torch."""

"""What users import: networks compiled into packages, which run on every device."""

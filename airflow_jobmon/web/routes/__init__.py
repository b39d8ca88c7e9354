"""The data routes: health and metrics, their shapes and examples."""

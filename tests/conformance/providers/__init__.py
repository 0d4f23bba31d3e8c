"""One module for each provider; README.md of the folder above tells how to write one."""

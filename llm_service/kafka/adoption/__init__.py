"""The first start of a group on topics that another service or another group has worked on."""

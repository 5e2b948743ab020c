"""What people and programs may look at in a running worker, over Faust's web server."""

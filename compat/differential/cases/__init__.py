"""What is asked, one module for each family of APIs."""

"""The routes, one module for each thing they are about; ``app.ROUTERS`` lists them."""

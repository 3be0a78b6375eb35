"""The documentation page: Swagger UI, with all it needs from this server, so that it works without internet."""

from importlib.resources import files
from typing import Final

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles
from starlette.requests import Request

PAGE: Final = "/docs"
_ASSETS: Final = f"{PAGE}/assets"
_PACKAGE: Final = "fastapi_offline"
"""A package of Swagger UI's files (Apache-2.0); nothing else of it is used."""
_POLICY: Final = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "frame-ancestors 'none'"
)


def serve_docs(app: FastAPI) -> None:
    """Have an application serve its documentation page."""
    app.mount(_ASSETS, StaticFiles(directory=str(files(_PACKAGE).joinpath("static"))), name="docs-assets")

    @app.get(PAGE, include_in_schema=False)
    async def show_docs(request: Request) -> HTMLResponse:
        root = request.scope.get("root_path", "").rstrip("/")
        page = get_swagger_ui_html(
            openapi_url=f"{root}{app.openapi_url}",
            title=f"{app.title}: HTTP API",
            swagger_js_url=f"{root}{_ASSETS}/swagger-ui-bundle.js",
            swagger_css_url=f"{root}{_ASSETS}/swagger-ui.css",
            swagger_favicon_url=f"{root}{_ASSETS}/favicon.png",
            swagger_ui_parameters={"docExpansion": "list", "tryItOutEnabled": True},
        )
        page.headers["Content-Security-Policy"] = _POLICY
        return page

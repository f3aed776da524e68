// Show the OpenAPI document. The token that a reader enters stays in this page.

SwaggerUIBundle({ url: "/v1/openapi.json", dom_id: "#swagger", deepLinking: true, validatorUrl: null });

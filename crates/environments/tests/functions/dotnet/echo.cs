using System;
using System.Collections.Generic;
using System.Linq;
using Fission.DotNetCore.Api;

public class FissionFunction
{
    public object Execute(FissionContext context)
    {
        var request = context.Request;
        var url = new Uri(request.Url);
        return new Fission.FissionResponse
        {
            Status = 201,
            Headers = { ["X-Answer"] = "yes" },
            Body = new
            {
                method = request.Method,
                path = url.AbsolutePath,
                query = url.Query.TrimStart('?'),
                header = request.Headers.TryGetValue("X-Test", out var values) ? values.First() : "",
                body = request.BodyAsString(),
            },
        };
    }
}

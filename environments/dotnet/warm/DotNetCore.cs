using System;
using System.Linq;
using System.Text;
using Fission.DotNetCore.Api;

public class FissionFunction
{
    public string Execute(FissionContext context)
    {
        var text = new StringBuilder();
        foreach (var header in context.Request.Headers) text.Append(header.Key).Append(header.Value.First());
        var name = context.Arguments.ContainsKey("name") ? (string)context.Arguments["name"] : context.Request.BodyAsString();
        return $"Hello, {name}! {text.Length} {Convert.ToInt32("42")} {context.Request.Url} {context.Request.Method}";
    }
}

using Fission.DotNet.Common;
using Microsoft.Extensions.DependencyInjection;

public class MyFunction
{
    readonly Greeter greeter;

    public MyFunction(Greeter greeter) => this.greeter = greeter;

    public static void ConfigureServices(IServiceCollection services) => services.AddSingleton<Greeter>();

    public static void SetCorsPolicy(ICorsPolicy policy)
    {
        policy.WithOrigin(new[] { "https://example.org" });
        policy.AllowAnyMethod();
    }

    public async Task<object> Execute(FissionContext context, ILogger logger)
    {
        logger.LogInformation($"called by {context.GetType().Name}");
        if (context is FissionMqContext message) return message.Topic;
        var content = await context.ContentAsString();
        if (content == "") return greeter.Greet(context.Arguments["name"], context.Parameters["id"]);
        throw new ArgumentException("no such greeting");
    }
}

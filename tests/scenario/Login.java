import java.net.*;
import java.net.http.*;
import java.time.Duration;

/** Gets URLs through a proxy that asks who it is: "new" by java.net.http, "old" by HttpURLConnection. */
class Login {
    public static void main(String[] args) throws Exception {
        var proxy = new InetSocketAddress("127.0.0.1", Integer.parseInt(args[1]));
        var who = new Authenticator() {
            @Override
            protected PasswordAuthentication getPasswordAuthentication() {
                return new PasswordAuthentication(args[2], args[3].toCharArray());
            }
        };

        for (int i = 4; i < args.length; i++) {
            if (args[0].equals("new")) {
                var client = HttpClient.newBuilder().proxy(ProxySelector.of(proxy)).authenticator(who)
                    .version(HttpClient.Version.HTTP_1_1).connectTimeout(Duration.ofSeconds(20)).build();
                var request = HttpRequest.newBuilder(URI.create(args[i])).build();
                var response = client.send(request, HttpResponse.BodyHandlers.ofString());
                System.out.println(response.statusCode() + " " + response.body().length());
            } else {
                Authenticator.setDefault(who);
                var connection = (HttpURLConnection) new URL(args[i]).openConnection(new Proxy(Proxy.Type.HTTP, proxy));
                System.out.println(connection.getResponseCode() + " " + connection.getInputStream().readAllBytes().length);
            }
        }
    }
}
